"""One reader of files: behind the commands, ``read_synapses`` and the data sets.

A reader does not guess in silence. What a file leaves open is found out and said in one
sentence, a note, or refused in one sentence that names the option which settles it. Nothing is
ever unpickled or executed, and what a file declares is measured before memory is taken for it.

``options``      what the user says of a table; notes, and text for sentences
``files``        kinds of files, and how much memory they may take
``text``         from bytes to characters
``rows``         the first rows, cell by cell, and what stands between the cells
``header``       which row names the columns, which column names the rows
``cells``        from the text of a column to numbers
``codes``        numbers that are no sizes: codes for "no value", and ids
``table``        a table of text: its columns as numbers, as names, as a matrix
``choice``       which of several columns or arrays is meant
``workbooks``    tables of typed cells: Excel, Parquet, Feather
``arrays``       NumPy's files, dense and sparse
``matlab``       MATLAB's, ``hdf5`` those of HDF5
``checkpoints``  the state dict of a model
"""

from daleml.reading.file_kinds import (
    ARRAYS,
    KINDS,
    STATES,
    TABLES,
    holds_rows,
    is_table,
    read_array,
    read_arrays,
    read_checkpoint,
    read_table,
)
from daleml.reading.selection import choose
from daleml.reading.table import Table
from daleml.reading.table_options import (
    Say,
    TableOptions,
    in_keywords,
    printable,
    shown,
    warn,
)

__all__ = [
    "ARRAYS",
    "KINDS",
    "STATES",
    "TABLES",
    "Say",
    "Table",
    "TableOptions",
    "choose",
    "holds_rows",
    "in_keywords",
    "is_table",
    "printable",
    "read_array",
    "read_arrays",
    "read_checkpoint",
    "read_table",
    "shown",
    "warn",
]
