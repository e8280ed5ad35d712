"""91卡券 (Agiso ACPR): a card warehouse as a supplier."""
