"""What can be wrong with an index. Every message is one line that says what to do."""


class ModelIndexError(Exception):
    """The index cannot be used, or not be built."""


class NoIndexError(ModelIndexError):
    """There is no index in the folder."""


class CorruptIndexError(ModelIndexError):
    """A file of the index is missing or damaged; the message names it."""


class OtherFormatError(CorruptIndexError):
    """The index was written by an older or a newer version of this package, which this one cannot read."""


class ForeignFolderError(ModelIndexError):
    """The folder's manifest is another program's, and is not written over."""


class OtherEncoderError(ModelIndexError):
    """The index was built with another encoder than the one at hand."""


class IndexBuildError(ModelIndexError):
    """A new index could not be built or written. The one in use is as it was."""


class CardError(IndexBuildError):
    """A file of cards has a line that is not a card; the message names both."""
