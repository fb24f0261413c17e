"""The examinations of `predictq doctor`, and what each found."""
