"""Shapes that the figures share, next to those of the reproduction's pictures."""

TEXT = """<style>
  .plain { fill: #8c959f } .fill { fill: none; stroke-width: 1.6 }
  .arrow { fill: none; stroke: #59636e; stroke-width: 1.4 } .head { fill: #59636e }
  .box { fill: #f3f5f7; stroke: #8c959f } .ended { stroke: #8c959f; stroke-width: 1; fill: none; opacity: 0.7 }
  @media (prefers-color-scheme: dark) {
    .plain { fill: #9198a1 } .arrow { stroke: #9198a1 } .head { fill: #9198a1 }
    .box { fill: #21262d; stroke: #656c76 } .ended { stroke: #9198a1 }
  }
</style>"""
"""Styles of these shapes, for light and dark pages."""


def dot(x: float, y: float, radius: float, style: str) -> str:
    """Draw a filled circle in a colour, or in grey with the style `plain`."""
    kind = style if style == "plain" else f"dot {style}"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def ring(x: float, y: float, radius: float, style: str) -> str:
    """Draw an open circle."""
    return f'<circle class="fill {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def region(left: float, top: float, width: float, height: float, style: str) -> str:
    """Draw a rectangle without filling it."""
    return f'<rect class="fill {style}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def box(left: float, top: float, width: float, height: float) -> str:
    """Draw a filled box with round corners, for text."""
    return f'<rect class="box" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6"/>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """Draw a straight line."""
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def arrow(path: str, tip: tuple[float, float], direction: str) -> str:
    """Draw a path with an arrow's head at its tip, which points right, left, up or down."""
    x, y = tip
    along, across = {"right": (-1, 0), "left": (1, 0), "up": (0, 1), "down": (0, -1)}[direction], 4
    back = (x + 8 * along[0], y + 8 * along[1])
    sides = [(back[0] + s * across * along[1], back[1] + s * across * along[0]) for s in (1, -1)]
    corners = " ".join(f"{px:g},{py:g}" for px, py in (tip, *sides))
    return f'<path class="arrow" d="{path}"/><polygon class="head" points="{corners}"/>'
