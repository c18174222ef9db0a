"""cxlab: open research tools for customer experience.

The public names are in ``__init__.pyi`` and are resolved when first used, so that
``import cxlab`` is fast and loads no plotting, statistics or report package.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
