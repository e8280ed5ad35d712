"""The shop: the web application and everything Quanyi knows of the trade.

A slice is a folder named after its noun. In a slice `models` are tables, `rules` pure calculation, `queries` reads, `service` verbs;
`pages`, `portal`, `api` and `notices` are its edges. Edges call the domain, the domain calls down the list of slices, and asks up by task.
"""
