"""The merchant's pages of batches for companies."""

from app.issuing.pages.account import CompanyAccountPages
from app.issuing.pages.listing import IssueListPages
from app.issuing.pages.show import IssuePages

ISSUING = [IssueListPages, IssuePages, CompanyAccountPages]
