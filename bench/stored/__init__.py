"""A hundred million stored predictions: how they are made, and what is measured on them."""
