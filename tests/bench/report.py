# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""How the bench keeps its figures, and prints them with their goals."""

import statistics


class Results:
    """Rows of {key: ms}, one for each turn of all contenders."""

    def __init__(self):
        self.rows = {}

    def add(self, what, rows):
        self.rows.setdefault(what, []).extend(rows)

    def ratios(self, what, key, base):
        """base: a key, or several whose times are added."""
        bases = (base,) if isinstance(base, str) else base
        return [row[key] / sum(row[one] for one in bases)
                for row in self.rows.get(what, []) if key in row]

    def msecs(self, what, key):
        return statistics.median(row[key] for row in self.rows[what])

    def added(self, what, key, base):
        """The median of the differences, ms."""
        return statistics.median(row[key] - row[base]
                                 for row in self.rows[what])


def spread(values):
    if len(values) < 2:
        return f'x{values[0]:.2f}'
    low, middle, high = statistics.quantiles(values, n=4)
    return f'x{middle:.2f} ({low:.2f}-{high:.2f})'


def table(title, head, lines):
    print(f'\n{title}')
    print(f'  {"":32}' + ''.join(f'{text:>22}' for text in head))
    for name, cells in lines:
        print(f'  {name:32}' + ''.join(f'{cell:>22}' for cell in cells))


def ratio_goal(text, values, limit):
    """A goal: what, its value, the limit, and how both are written."""
    return text, statistics.median(values), limit, 'x{:.2f}'


def is_reached(value, limit, form):
    """As many digits as the goal has."""
    return float(form.format(value).strip('x+ kMBms')) <= limit


def print_goals(found):
    print('\nGoals')
    for text, value, limit, form in found:
        reached = is_reached(value, limit, form)
        print(f'  {"PASS" if reached else "MISS"}  {text}: '
              f'{form.format(value)}, at most {form.format(limit)}')
    missed = sum(1 for _, value, limit, form in found
                 if not is_reached(value, limit, form))
    print(f'  {len(found) - missed} reached, {missed} missed')
