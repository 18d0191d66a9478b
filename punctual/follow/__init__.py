"""What the company follows up by itself, each minute: the customer never has to ask."""

from __future__ import annotations

from punctual.follow import good, promises, sending, visits

#: Each looks at an instant, in a transaction of its own; `truth` compares after that, with what these told.
LOOKS = (promises.look, visits.look, good.look, sending.look)
