import app.access.models
import app.insight.models
import app.integrations.models  # noqa: F401
from app.kernel.models import HomeBase, PlatformBase
from migrations import environment
from tenants.models import DirectoryBase

environment.run([HomeBase.metadata, PlatformBase.metadata, DirectoryBase.metadata], schema="public")
