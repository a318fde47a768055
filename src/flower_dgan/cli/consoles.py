"""Where the commands write to.

What they print has names, paths and messages of others in it. So nothing of a text is taken for markup (``[medical]``
of an install hint would vanish, and ``[/x]`` of a path end in a traceback) or for an emoji (``:key:``); what is to have
a colour is a ``rich.text.Text``.
"""

from rich.console import Console

console = Console(markup=False, emoji=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
