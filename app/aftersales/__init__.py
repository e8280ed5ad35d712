"""What comes after a delivery: a buyer's complaint about one unit, from his report to a replacement, a refund or a no with its reason.

A case here belongs to a buyer, has states, deadlines and an answer he reads. `app.cases` is for internal matters alone: what our own work met and
only a person can settle (a declined refund, a supplier nobody can ask); buyers never see those.
"""
