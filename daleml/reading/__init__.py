"""The one reader of files: behind the commands, ``read_synapses`` and the data sets.

A reader does not guess in silence. What a file leaves open is found out and said in one
sentence, a note, or refused in one sentence that names the option which settles it. Nothing is
ever unpickled or executed, and what a file declares is measured before memory is taken for it.

==================  ===========================================================================
module              what it holds
==================  ===========================================================================
``opening``         from a path to bytes and characters: endings, limits of memory, encodings
``table_files``     ``read_table``: which reader a file is for, and the reader of tables of text
``table``           ``Table``, and ``TableOptions``: how a table is written
``rows``            the first rows, cell by cell, and what stands between the cells
``header``          which row names the columns, which column names the rows
``number_names``    whether whole numbers are names
``cell_values``     from the text of a column to numbers
``number_styles``   the same where they are not plain: units, bounds, decimal commas
``ids``             numbers that are names of cells
``totals``          rows and columns that sum up the others
``table_forms``     a table as a DataFrame, as a matrix, or a column of it as names
``workbooks``       tables of typed cells: Excel, Parquet, Feather
``matrix_files``    ``read_matrix``: one matrix, of a file of any of these kinds
``array_files``     ``read_arrays``: files of arrays, by the three modules below
``numpy_files``     NumPy's files, dense and sparse
``matlab_files``    MATLAB's files
``hdf5_files``      HDF5 files
``tensor_files``    ``read_checkpoint``: the state dict of a model
``large_tables``    columns of large tables, read one by one
``edge_tables``     tables of connections: senders, receivers, weights, signs
``given_graphs``    ``opened``: what readers of graphs take, of sparse matrices and tables
``notes``           notes and errors of readers
==================  ===========================================================================
"""

from daleml._support.safe_text import listed, printable, quoted
from daleml.reading.array_files import read_array, read_arrays
from daleml.reading.given_graphs import opened
from daleml.reading.matrix_files import matrix_of, read_labelled_matrix, read_matrix
from daleml.reading.notes import OnNote, ReadingError, in_keywords, warn
from daleml.reading.opening import (
    ARRAYS,
    KINDS,
    STATES,
    TABLES,
    choose,
    holds_rows,
    is_table,
    plain_endings,
    require_file,
    suffix,
)
from daleml.reading.table import Table, TableOptions
from daleml.reading.table_files import read_table
from daleml.reading.table_forms import to_frame, to_matrix, to_names
from daleml.reading.tensor_files import read_checkpoint

__all__ = [
    "ARRAYS",
    "KINDS",
    "STATES",
    "TABLES",
    "OnNote",
    "ReadingError",
    "Table",
    "TableOptions",
    "choose",
    "holds_rows",
    "in_keywords",
    "is_table",
    "listed",
    "matrix_of",
    "opened",
    "plain_endings",
    "printable",
    "quoted",
    "read_array",
    "read_arrays",
    "read_checkpoint",
    "read_labelled_matrix",
    "read_matrix",
    "read_table",
    "require_file",
    "suffix",
    "to_frame",
    "to_matrix",
    "to_names",
    "warn",
]
