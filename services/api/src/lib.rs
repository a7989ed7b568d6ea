//! Every API method declared once, and what is derived from that.
