"""The toolbox of the algorithms, in torch only: no Flower, no configuration files, no printing, no global random state.

An algorithm takes from it what it shares with others, as ``gan.sum_gradients``: ``__init__.pyi`` lists the names that
authors of algorithms may rely on. Each is imported when it is first used, so that settings can be read without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
