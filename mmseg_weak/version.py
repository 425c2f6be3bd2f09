"""The version, readable without importing the package (setup.py does)."""
__version__ = '0.1.0'
