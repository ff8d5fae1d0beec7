"""Types and rows of Arrow tables in the form of `values`."""

import pyarrow

from .values import plain

NAMES = {"double": "float64", "large_string": "string", "string_view": "string", "large_binary": "binary",
         "binary_view": "binary", "date32[day]": "date"}


def arrow_type(of):
    types = pyarrow.types
    if types.is_struct(of):
        return ("struct", tuple((of.field(index).name, arrow_type(of.field(index).type)) for index in range(of.num_fields)))
    if types.is_map(of):
        return ("map", arrow_type(of.key_type), arrow_type(of.item_type))
    if types.is_list(of) or types.is_large_list(of):
        return ("list", arrow_type(of.value_type))
    if types.is_timestamp(of):
        return ("timestamp", of.unit, of.tz.replace("+00:00", "UTC") if of.tz else "")
    if types.is_decimal(of):
        return ("decimal", of.precision, of.scale)
    return (NAMES.get(str(of), str(of)),)


def arrow_schema(table):
    return [(field.name, arrow_type(field.type)) for field in table.schema]


def arrow_rows(table, schema):
    columns = [[plain(value, kind) for value in column.to_pylist()] for column, (_, kind) in zip(table.columns, schema)]
    return [list(row) for row in zip(*columns)]
