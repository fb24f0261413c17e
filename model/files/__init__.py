"""Files that only a library can open: Parquet, Arrow and Excel. The gateway never opens one."""
