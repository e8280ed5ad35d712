"""The merchant's pages on orders: the list with its views, and one order."""

from app.kernel.templating import register_states
from app.ordering import words
from app.ordering.pages.index import OrderListPages, OrderViewPages
from app.ordering.pages.show import OrderPages
from app.ordering.pages.subscriptions import SubscriptionPages

__all__ = ["OrderListPages", "OrderPages", "OrderViewPages", "SubscriptionPages"]

register_states("order", words.ORDER_WORDS)
register_states("unit", words.UNIT_WORDS)
register_states("subscription", words.SUBSCRIPTION_WORDS)
