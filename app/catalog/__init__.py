"""What is sold: storefront, categories, products, their SKUs and the listings that put a SKU on sale at a price."""
