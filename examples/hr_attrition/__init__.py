"""The sample: invented employees, and a model of who leaves. Shaped like the public HR attrition data."""
