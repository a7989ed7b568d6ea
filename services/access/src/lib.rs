//! Users, roles, ACLs, tickets and tokens.
