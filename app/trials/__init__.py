"""Trial shops: opened with one click, furnished, cut off from the outside, and deleted with all they hold when their time is over."""
