"""DingConnect: airtime in many countries."""
