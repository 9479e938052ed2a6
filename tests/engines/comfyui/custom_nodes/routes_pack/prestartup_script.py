import os

os.environ["ROUTES_PACK_STARTED"] = "before its nodes"
