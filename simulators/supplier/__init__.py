"""One supplier: its goods, its cards, its clients' prepaid money and what it delivered, behind the protocol it is told to speak.

Its book is the judge of what really happened. The desk, for tests and benches, is README.md beside this file.
"""
