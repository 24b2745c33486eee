"""From marts to what people read: the report in two languages and the workbook."""
