"""Who may do what: users, memberships, roles and permissions, sessions."""
