"""Networks, their transforms and their losses."""
