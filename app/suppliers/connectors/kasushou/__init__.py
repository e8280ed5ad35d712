"""Kasushou (卡速售) version 2, and the many small platforms that run it: cards and top-ups."""
