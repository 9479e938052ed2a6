class ProgressHandler:
    def __init__(self, name):
        self.name = name


class WebUIProgressHandler(ProgressHandler):
    def __init__(self, server_instance):
        super().__init__("webui")
        self.server_instance = server_instance
