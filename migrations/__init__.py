"""Two histories, one head each: `public` for the platform's schema, `tenant` for every tenant's. Alembic writes, tenants.migrating runs."""
