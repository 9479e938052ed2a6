def load_extra_path_config(yaml_path):
    raise NotImplementedError("the stand-in has no extra_model_paths.yaml")
