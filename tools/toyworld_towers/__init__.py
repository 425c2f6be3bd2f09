"""Parts of ``tools/pretrain_toyworld.py``: images drawn once, and the two towers that learn from them."""
