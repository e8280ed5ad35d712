import os

import app.access.models
import app.aftersales.models
import app.cases.models
import app.catalog.models
import app.customers.models
import app.fulfillment.models
import app.insight.models
import app.integrations.models
import app.inventory.models
import app.issuing.models
import app.ledger.models
import app.ordering.models
import app.payments.models
import app.pricing.models
import app.replenishment.models
import app.settlement.models
import app.suppliers.models  # noqa: F401
from app.kernel.models import HomeBase, TenantBase
from migrations import environment

environment.run([HomeBase.metadata, TenantBase.metadata], schema=os.environ.get("QUANYI_MIGRATED_SCHEMA", "t_design0"))
