import comfy.utils
from comfy.cli_args import LatentPreviewMethod, args
from PIL import Image


def preview_to_image(latent_image):
    return Image.fromarray((latent_image.clamp(0, 1) * 255).byte().numpy())


class LatentPreviewer:
    def decode_latent_to_preview(self, x0):
        return preview_to_image(x0[0, :3].movedim(0, -1))

    def decode_latent_to_preview_image(self, preview_format, x0):
        return ("JPEG", self.decode_latent_to_preview(x0), 512)


def get_previewer(device, latent_format):
    return None if args.preview_method is LatentPreviewMethod.NoPreviews else LatentPreviewer()


def prepare_callback(model, steps, x0_output_dict=None):
    previewer, bar = get_previewer(None, None), comfy.utils.ProgressBar(steps)

    def callback(step, x0, x, total_steps):
        preview = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer else None
        bar.update_absolute(step + 1, total_steps, preview)

    return callback
