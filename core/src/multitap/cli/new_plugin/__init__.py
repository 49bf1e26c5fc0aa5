"""``multitap new-plugin``: a plugin's project that passes the kit from its first minute."""
