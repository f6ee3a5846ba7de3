"""Tables as people have them, each with what makes it one of its own: its bytes, and the target that its owner names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Case = tuple[bytes, str | None]


def lines(header: str | None, rows: Iterable[str], end: str = "\n") -> str:
    return "".join(f"{row}{end}" for row in ([header] if header is not None else []) + list(rows))


def made(row: Callable[[int], str], header: str | None = None, n: int = 24, end: str = "\n") -> str:
    """A table of ``n`` rows."""
    return lines(header, map(row, range(n)), end)


def number(i: int, k: int = 7) -> float:
    """Something between 0 and 10 with two decimals."""
    return round((i * k * 37 % 101) / 10.1, 2)


def comma(value: float) -> str:
    return str(value).replace(".", ",")


NAMES = [
    f"{first} {last}" for first in ("Ann", "Bo", "Cy", "Di", "Ed", "Flo") for last in ("Ash", "Bay", "Cole", "Dale", "Eck", "Fox", "Gray")
]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"]

_CASES: dict[str, str | bytes | tuple[str | bytes, str]] = {
    # how a table is written
    "plain": made(lambda i: f"{number(i)},{number(i, 3)},{i % 2}", "a,b,label"),
    "semicolons and decimal commas": made(lambda i: f"{comma(number(i))};{comma(number(i, 3))};{i % 3 + 3}", "acidity;sugar;quality"),
    "tabs": made(lambda i: f"{number(i)}\t{number(i, 3)}\t{'ab'[i % 2]}", "x1\tx2\tkind"),
    "vertical bars": made(lambda i: f"{number(i)}|{number(i, 3)}|{'ab'[i % 2]}", "x1|x2|kind"),
    "sep line of Excel": "sep=;\n" + made(lambda i: f"{number(i)};{i % 2}", "a;b"),
    "byte order mark, CRLF, quotes": b"\xef\xbb\xbf" + made(lambda i: f'"{number(i)}","{"yes" if i % 2 else "no, not"}"', "a,answer", end="\r\n").encode(),
    "line ends of old Macs": made(lambda i: f"{number(i)},{i % 2}", "a,y", end="\r"),
    "breaks in quotes": made(lambda i: f'{number(i)},"line 1\nline {i % 2}"', 'a,"b\nc"'),
    "UTF-16": made(lambda i: f"{number(i)}\t{'äö'[i % 2]}", "größe\tklasse").encode("utf-16"),
    "Windows-1252": made(lambda i: f"{number(i)};{'äö'[i % 2]}", "größe;klasse").encode("cp1252"),
    "blank lines": made(lambda i: f"{number(i)},{i % 2}\n\n", "\na,y\n") + ",\n \n",
    "trailing separators": made(lambda i: f"{number(i)},{number(i, 3)},{i % 2},", "a,b,kind,"),
    "trailing separators in the rows only": made(lambda i: f"{number(i)},{i % 2},", "a,kind"),
    "spaces after commas, no header (adult)": made(lambda i: f"{20 + i}, {['Private', '?', 'State-gov'][i % 3]}, {'<=50K' if i % 2 else '>50K'}"),
    "no header, a label at the end (iris)": made(lambda i: f"{number(i)},{number(i, 3)},{'setosa' if i % 2 else 'virginica'}"),
    "no header, numbers only": made(lambda i: f"{number(i)},{number(i, 3)},{i % 2}"),
    "no header, words only (mushrooms)": made(lambda i: f"{'ep'[i % 2]},{'xbs'[i % 3]},{'yn'[i // 2 % 2]}"),
    "years as names": made(lambda i: f"{number(i)},{number(i, 3)},{'ab'[i % 2]}", "2019,2020,kind"),
    "commented header of savetxt": made(lambda i: f"{number(i)},{i % 2}", "# a,y"),
    "a title above": "Sales 2024\n\n" + made(lambda i: f"{number(i)},{number(i, 3)}", "a,price"),
    # numbers
    "decimal commas in quotes": made(lambda i: f'{number(i)},"{comma(number(i, 3) + 0.125)}"', "a,price"),
    "thousands separators": made(lambda i: f'"{i * 7 % 24 + 1},{250 + i}",{i % 2}', "income,y"),
    "European thousands": made(lambda i: f"{i * 7 % 24 + 1}.{250 + i};{i % 9 + 1}.000,5", "income;price"),
    "points of thousands beside decimal commas": made(lambda i: f"{i * 7 % 24 + 1}.{250 + i};{i % 9},5", "income;price"),
    "spaces between thousands": made(lambda i: f"{i * 7 % 24 + 1} {250 + i},{i % 2}", "income,y"),
    "currencies": made(lambda i: f'"${1000 + 37 * i:,}.50",€ {i * 5 % 11},{i % 2}', "price,fee,y"),
    "negative amounts in brackets": made(lambda i: f'"({i * 5 % 7}.5)",{i % 2}', "balance,y"),
    "percentages": made(lambda i: f"{i * 5 % 24}%,{number(i)}", "share,price"),
    "scientific notation": made(lambda i: f"{i * 5 % 24}e-3,{i % 2}", "a,y"),
    "beyond 2**24": made(lambda i: f"{16777216 + i * 5 % 24},{i % 2}", "serial,y"),
    "beyond 2**53": made(lambda i: f"{number(i)},{12345678901234567890 + 10**18 * (i * 5 % 24)}", "a,y"),
    "beyond float32": made(lambda i: f"{number(i)},1e{40 if i == 3 else 3},{i % 2}", "a,b,y"),
    "one number beyond float32 of many": made(lambda i: f"{number(i)},{'1e40' if i == 3 else number(i, 3)},{i % 2}", "a,b,y", n=40),
    # missing cells
    "missing numbers": made(lambda i: f"{['', 'NA', 'NaN', 'null', '-', '?', 'n/a', '#N/A'][i] if i < 8 else number(i)},{i % 2}", "a,y"),
    "missing words": made(lambda i: f"{['', 'red', 'blue'][i % 3]},{i % 2}", "colour,y"),
    "a missing target of many": made(lambda i: f"{number(i)},{'' if i == 5 else number(i, 3)}", "a,price", n=40),
    "too many missing targets": made(lambda i: f"{number(i)},{'' if i % 4 == 1 else number(i, 3)}", "a,price"),
    "an empty column": made(lambda i: f"{number(i)},,{i % 2}", "a,notes,y"),
    # columns
    "categories": made(lambda i: f"{['red', 'green', 'blue'][i * 5 % 3]},{i % 2}", "colour,y"),
    "more categories than one-hot": made(lambda i: f"city {i * 7 % 40},{i % 2}", "city,y", n=120),
    "free text": made(lambda i: f"{NAMES[i]},{number(i)},{i % 2}", "name,a,y", n=42),
    "true and false": made(lambda i: f"{i % 3 == 0},{'TRUE' if i % 2 else 'FALSE'}", "member,active"),
    "dates": made(lambda i: f"2024-{i % 12 + 1:02}-{i + 1:02},{number(i)}", "when,price"),
    "dates with times and zones": made(lambda i: f"2024-03-{i + 1:02}T{i % 24:02}:30:00+02:00,{i % 2}", "when,y"),
    "dates, day first": made(lambda i: f"{i + 1}/3/2024;{i + 1:02}.04.24;{i % 2}", "when;then;y"),
    "dates of two readings": made(lambda i: f"{i % 12 + 1:02}/{i * 5 % 12 + 1:02}/2024,{i % 2}", "when,y"),
    "dates with names of months": made(lambda i: f'"{MONTHS[i % 6]} {i + 1}, 2024",{i + 1}-{MONTHS[i % 6]}-24,{i % 2}', "when,then,y"),
    "times of day": made(lambda i: f"{i}:{i * 2:02},{i % 12 + 1}:15 {'PM' if i % 2 else 'AM'},{i % 2}", "start,end,y"),
    "pandas' index": made(lambda i: f"{i},{number(i)},{'xy'[i > 5]}", ",a,kind"),
    "an id from 1 on (Titanic)": (
        lines(
            "PassengerId,Survived,Pclass,Name,Sex,Age,Ticket,Fare,Cabin,Embarked",
            (
                f'{i + 1},{i * 5 % 3 % 2},{i % 3 + 1},"{NAMES[i]}, Mr.",{("male", "female")[i * 5 % 2]},{"" if i % 5 == 0 else 20 + i},'
                f"{('PC ' if i % 3 else '') + str(17000 + i)},{number(i)},{'' if i % 4 else f'C{i}'},{'SCQ'[i % 3]}"
                for i in range(42)
            ),
        ),
        "Survived",
    ),
    "row names of R": made(lambda i: f'"car {i}",{number(i)},{i % 2}', '"mpg","am"'),
    "an id that counts nothing": made(lambda i: f"{i * 5 % 24},{i % 2}", "id,y"),
    "a column of splits": made(lambda i: f"{number(i)},{['train', 'train', 'valid', 'TEST'][i % 4]},{i % 2}", "a,split,y"),
    "rows twice, across splits": made(lambda i: f"{i % 20},{'test' if i > 19 else 'train'},{i % 2}", "a,split,y"),
    "a constant column": made(lambda i: f"{number(i)},1,x,{i % 2}", "a,b,c,y"),
    "most are numbers, but not all": made(lambda i: f"{'S' if i % 5 == 0 else ''}{i % 10},{i % 2}", "ticket,y"),
    # targets
    "coordinates": made(lambda i: f"{number(i)},{number(i, 3)},{i % 3}.5,{1000 + i * 10}.5", "x,y,z,price"),
    "y first": made(lambda i: f"{number(i)},{number(i, 3)},{number(i, 5)}", "y,x1,x2"),
    "a label first (MNIST)": made(lambda i: f"{i % 10},{i % 2 * 255},{i * 5 % 256},0", "label,pixel0,pixel1,pixel2", n=40),
    "label and class": made(lambda i: f"{i % 2},{number(i)},{i % 3}", "label,a,class"),
    "as asked for": (made(lambda i: f"{i % 2},{number(i)},{i % 3}", "a,b,c"), "b"),
    "a target that is not there": (made(lambda i: f"{i % 2},{number(i)},{i % 3}", "a,b,c"), "d"),
    "two targets of one name": made(lambda i: f"{i % 2},{number(i)},{i % 3}", "target,b,target"),
    "two features of one name": made(lambda i: f"{number(i)},{number(i, 3)},{i % 2}", "a,a,y"),
    "classes 2 and 4 (breast cancer)": made(lambda i: f"{number(i)},{2 + i % 2 * 2}", "a,class"),
    "classes -1 and 1": made(lambda i: f"{number(i)},{i % 2 * 2 - 1}", "a,y"),
    "classes as 1.0 and 2.0": made(lambda i: f"{number(i)},{i % 2 + 1}.0", "a,y"),
    "few of a class": made(lambda i: f"{number(i)},{'rare' if i == 7 else 'usual'}", "a,y"),
    "whole numbers that are no classes": made(lambda i: f"{number(i)},{i * 5 % 24 * 100}", "a,price"),
    "another text in each row": made(lambda i: f"{number(i)},{NAMES[i]}", "a,name"),
    # what is no table
    "a ragged row of two": "a,b,y\n1,2,0\n1,2\n",
    "a ragged row of many": made(lambda i: f"{number(i)},{i % 2}{',7' if i == 3 else ''}", "a,y", n=40),
    "a word among numbers": made(lambda i: f"{'red' if i == 3 else number(i)},{i % 2}", "a,y", n=12),
    "one word among many numbers": made(lambda i: f"{'red' if i == 3 else number(i)},{i % 2}", "a,y", n=40),
    "a header only": "a,b,y\n",
    "one row": "a,b,y\n1,2,0\n",
    "nothing": "\n",
    "one column": "a\n1\n2\n",
    "only a target": made(lambda i: f"{i},{i % 2}", "id,y"),
    "zero bytes": b"a,b\n1,\x002\n",
    "a workbook": b"PK\x03\x04 and more",
}  # fmt: skip

CASES: dict[str, Case] = {}
for _name, _case in _CASES.items():
    _content, _target = _case if isinstance(_case, tuple) else (_case, None)
    CASES[_name] = (_content.encode() if isinstance(_content, str) else _content, _target)
