import os

from comfy.cli_args import args

base_path = args.base_directory or os.path.dirname(os.path.realpath(__file__))
models_dir = os.path.join(base_path, "models")
folder_names_and_paths = {
    "checkpoints": ([os.path.join(models_dir, "checkpoints")], {".safetensors"}),
    "configs": ([os.path.join(models_dir, "configs")], [".yaml"]),
    "custom_nodes": ([os.path.join(base_path, "custom_nodes")], set()),
}
directories = {}


def set_input_directory(input_dir):
    directories["input"] = input_dir


def set_output_directory(output_dir):
    directories["output"] = output_dir


def set_temp_directory(temp_dir):
    directories["temp"] = temp_dir


def set_user_directory(user_dir):
    directories["user"] = user_dir


def get_input_directory():
    return directories["input"]


def get_output_directory():
    return directories["output"]


def get_temp_directory():
    return directories["temp"]


def get_folder_paths(folder_name):
    return folder_names_and_paths[folder_name][0][:]


def get_filename_list(folder_name):
    folders = [folder for folder in folder_names_and_paths[folder_name][0] if os.path.isdir(folder)]
    return sorted(name for folder in folders for name in os.listdir(folder))


def get_full_path(folder_name, filename):
    paths = [os.path.join(folder, filename) for folder in folder_names_and_paths[folder_name][0]]
    return next(filter(os.path.isfile, paths), None)
