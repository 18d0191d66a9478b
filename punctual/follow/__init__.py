"""What the company follows up by itself, each minute: the customer never has to ask."""

from __future__ import annotations

from punctual.follow import good, promises, truth, visits

#: Each looks at an instant, in a transaction of its own; the comparison comes last, after what the others told.
LOOKS = (promises.look, visits.look, good.look, truth.look)
