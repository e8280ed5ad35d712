"""The platform operator's pages: tenants and their states, the work that waits, migrations, health, and the platform's audit trail."""
