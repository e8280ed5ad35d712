"""The merchant's pages of notices, robots and webhooks."""

from app.integrations.pages.notices import NoticePages
from app.integrations.pages.robots import RobotPages
from app.integrations.pages.webhooks import WebhookPages

INTEGRATIONS = [RobotPages, WebhookPages, NoticePages]
