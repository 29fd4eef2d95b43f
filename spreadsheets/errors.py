"""What may be wrong with a file as a whole, in both languages, with the way out. No text here repeats a cell."""

from typing import Final

_WORDS: Final[dict[str, tuple[str, str, str, str]]] = {
    "file_empty": (
        "The file holds no rows.",
        "文件中没有数据行。",
        "Fill in at least one row below the headings.",
        "请在表头下至少填写一行。",
    ),
    "file_unreadable": (
        "The file cannot be read as a spreadsheet.",
        "文件无法按表格读取。",
        "Open it in a spreadsheet program and save it anew as XLSX or CSV.",
        "请在表格软件中打开并另存为 XLSX 或 CSV。",
    ),
    "file_encrypted": (
        "The file is protected by a password.",
        "文件设有打开密码。",
        "Remove the password and save it anew.",
        "请取消密码后另存。",
    ),
    "file_old_format": (
        "The file is of the old format XLS.",
        "文件为旧的 XLS 格式。",
        "Save it as XLSX.",
        "请另存为 XLSX。",
    ),
    "file_has_macros": (
        "The file holds macros (XLSM).",
        "文件含有宏（XLSM）。",
        "Save it as XLSX, which holds none.",
        "请另存为不含宏的 XLSX。",
    ),
    "file_unpacks_too_large": (
        "Unpacked, the file is larger than is accepted.",
        "文件解压后过大。",
        "Copy the rows into the template and save that; pictures and unused sheets go.",
        "请把数据行复制到模板后另存，去掉图片和无关工作表。",
    ),
    "file_too_many_rows": (
        "The file has more rows than are accepted at once.",
        "文件行数超过一次可接受的上限。",
        "Split it into several files.",
        "请拆分为多个文件。",
    ),
    "file_too_many_columns": (
        "The file has more columns than are accepted.",
        "文件列数超过上限。",
        "Remove the columns that are not needed.",
        "请删除无关的列。",
    ),
    "file_encoding": (
        "The text is neither UTF-8 nor GBK.",
        "文本编码既不是 UTF-8 也不是 GBK。",
        "Save it as XLSX, or as CSV in UTF-8.",
        "请另存为 XLSX，或 UTF-8 编码的 CSV。",
    ),
    "heading_missing": (
        "Columns are missing: {names}.",
        "缺少列：{names}。",
        "Use the headings of the template, in one row, within the first 20 rows.",
        "请使用模板的表头，置于同一行且在前 20 行内。",
    ),
    "heading_twice": (
        "Two columns mean the same: {names}.",
        "有两列含义相同：{names}。",
        "Remove one of them.",
        "请删除其中一列。",
    ),
    "file_took_too_long": (
        "The file takes too long to read.",
        "读取文件用时过长。",
        "Copy the rows into the template and save that.",
        "请把数据行复制到模板后另存。",
    ),
}  # fmt: skip
FILE_ERROR_CODES: Final = frozenset(_WORDS)


class SpreadsheetError(Exception):
    """A file that cannot be read as the table that is expected. `names` are headings of ours, never cells."""

    def __init__(self, code: str, names: str = "", row: int = 0) -> None:
        en, zh, self.remedy_en, self.remedy_zh = _WORDS[code]
        self.code, self.names, self.row = code, names, row
        self.en, self.zh = en.format(names=names), zh.format(names=names)
        super().__init__(self.en)
