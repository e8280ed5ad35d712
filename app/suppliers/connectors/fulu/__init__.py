"""Fulu (福禄开放平台): top-ups, mobile credit and cards of many brands, by one gateway address."""
