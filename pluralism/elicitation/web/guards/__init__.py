"""What stands before every page: sessions, who may do what, forged requests, limits, headers, a log without words."""
