"""A report as a page: `render_page` is the door.

What passes through: a `Report` comes in, one self-contained HTML page goes out. No TensorFlow here.
"""

from servable.report_page.page import render_page

__all__ = ["render_page"]
