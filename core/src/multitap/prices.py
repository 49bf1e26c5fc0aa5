"""What tokens cost: exact decimals, never floats; what is unknown is ``None``, never 0.

>>> pricing = Pricing(input="0.15", output="0.60")
>>> pricing.price(Usage.reported(1000, 200)).total
Decimal('0.0002700')
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

import attrs

from multitap.usage import Usage

__all__ = ("Price", "Pricing")

# an application may have changed the precision or the rounding of its own thread
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_PLACES = Decimal("0.0000001")
_UNITS = {"1": 1, "1K": 1_000, "1M": 1_000_000}


def _amount(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ValueError(f'a price is written as a text such as "0.15", not as {value!r}')
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no price") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{value!r} is no price")
    return amount


def _unit(value: Any) -> int:
    unit = _UNITS.get(value.strip().upper(), 0) if isinstance(value, str) else value
    if not isinstance(unit, int) or isinstance(unit, bool) or unit < 1:
        raise ValueError(f'{value!r} is no unit: write "1M", "1K", "1", or a number of tokens')
    return unit


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("currency has to be a text such as USD")
    return value.strip().upper()


@attrs.frozen(kw_only=True)
class Pricing:
    """What a model's tokens cost.

    Attributes:
        input: The price of ``unit`` tokens of prompt.
        output: That of an answer.
        cached_input: That of prompt tokens from the cache; ``None``: they cost what others do.
        unit: How many tokens the prices are for: a number, or ``"1M"``, ``"1K"``, ``"1"``.
        currency: Its code, such as ``USD``.
    """

    input: Decimal | None = attrs.field(default=None, converter=_amount)
    output: Decimal | None = attrs.field(default=None, converter=_amount)
    cached_input: Decimal | None = attrs.field(default=None, converter=_amount)
    unit: int = attrs.field(default=1_000_000, converter=_unit)
    currency: str = attrs.field(default="USD", converter=_currency)

    def price(self, usage: Usage) -> Price | None:
        """What a call cost; a part that is unknown is ``None``, and so is the whole if all is.

        Where the backend does not say how many tokens came from its cache, none did.
        """
        price = Price(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            input_unit_price=self.input,
            output_unit_price=self.output,
            unit=self.unit,
            input_price=self._input(usage),
            output_price=_rounded(self._cost(usage.output_tokens, self.output)),
            currency=self.currency,
        )
        return None if price.input_price is price.output_price is None else price

    def _input(self, usage: Usage) -> Decimal | None:
        cached = usage.cached_tokens if self.cached_input is not None else None
        if usage.input_tokens is None or not cached:
            return _rounded(self._cost(usage.input_tokens, self.input))
        fresh = self._cost(usage.input_tokens - cached, self.input)
        return _rounded(_sum(fresh, self._cost(cached, self.cached_input)))

    def _cost(self, tokens: int | None, price: Decimal | None) -> Decimal | None:
        if tokens is None or price is None:
            return None
        return _EXACT.divide(_EXACT.multiply(Decimal(tokens), price), Decimal(self.unit))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known, prices as texts."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, data: Any, name: str = "prices") -> Pricing:
        """From the JSON form, or a table of ``llm.toml``; what is wrong is a ``ValueError``.

        >>> Pricing.from_dict({"input": "2.50", "unit": "1K"}).unit
        1000
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"of {name!r} have to be a table")
        known = [field.name for field in attrs.fields(cls)]
        unknown = sorted(set(map(str, data)) - set(known))
        if unknown:
            raise ValueError(f"of {name!r} have no {unknown[0]!r}, but {', '.join(known)}")
        if data.get("input") is None and data.get("output") is None:
            raise ValueError(f"of {name!r} have neither input nor output")
        try:
            return cls(**data)
        except ValueError as error:
            raise ValueError(f"of {name!r}: {error}") from None


@attrs.frozen(kw_only=True)
class Price:
    """What one call cost, or several together; the parts are rounded half up to 7 places.

    Attributes:
        input_unit_price: The price of ``unit`` tokens; ``None`` in a sum of different ones.
    """

    input_tokens: int | None
    output_tokens: int | None
    input_unit_price: Decimal | None
    output_unit_price: Decimal | None
    unit: int | None
    input_price: Decimal | None
    output_price: Decimal | None
    currency: str = "USD"

    @property
    def total(self) -> Decimal | None:
        """Both parts together; ``None`` where one of them is unknown."""
        total: Decimal | None = _sum(self.input_price, self.output_price)
        return total

    def __add__(self, other: Price) -> Price:
        if not isinstance(other, Price):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added")
        summed = ("input_tokens", "output_tokens", "input_price", "output_price")
        same = ("input_unit_price", "output_unit_price", "unit")
        facts = {name: _sum(getattr(self, name), getattr(other, name)) for name in summed}
        facts |= {n: v for n in same if (v := getattr(self, n)) == getattr(other, n)}
        return Price(**{**dict.fromkeys(same), **facts}, currency=self.currency)

    def __radd__(self, other: int) -> Price:
        return self if other == 0 else NotImplemented

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known, prices as texts."""
        total = {} if self.total is None else {"total": f"{self.total:f}"}
        return {**_to_dict(self), **total}


def _sum(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return None
    return _EXACT.add(one, other) if isinstance(one, Decimal) else one + other


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else _EXACT.quantize(amount, _PLACES)


def _to_dict(value: Any) -> dict[str, Any]:
    facts = attrs.asdict(value)
    texts = {n: f"{v:f}" if isinstance(v, Decimal) else v for n, v in facts.items()}
    return {name: v for name, v in texts.items() if v is not None}
