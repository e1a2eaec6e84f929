"""Networks for images, five families from the papers, with torchvision's names for their parts.

    from sortal import nets
    net = nets.resnet20(num_classes=10, seed=0)
    vectors = net.embed(images)      # float (B, 3, 32, 32) -> (B, 64)
    scores = net.head(vectors)       # = net(images)
    nets.weights.load(net, "resnet20")

And recurrent networks for sequences, called as torch.nn's and with lengths on top:

    net = nets.GRU(28, 128, num_layers=2, bidirectional=True, seed=0)
    output, h_n = net(x, None, lengths)      # float (B, T, 28) -> (B, T, 256), (4, B, 128)

Tensors in, tensors out: nothing here knows of files of images or of training.
"""

from sortal.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as e:
    raise MissingExtra("sortal.nets", "nets") from e

from sortal.nets import weights  # noqa: F401  # nets.weights.load
from sortal.nets.alexnet import alexnet
from sortal.nets.alexnet_two_group import alexnet_two_group
from sortal.nets.builders import BUILDERS, builder
from sortal.nets.captioner import Captioner
from sortal.nets.contrastive import contrastive_net
from sortal.nets.contrastive_resnet import contrastive_resnet
from sortal.nets.convolutional import fully_convolutional
from sortal.nets.googlenet import googlenet, googlenet_paper
from sortal.nets.gru import GRU
from sortal.nets.lenet import lenet5
from sortal.nets.lenet_paper import lenet5_paper
from sortal.nets.lstm import LSTM
from sortal.nets.mel_cnn import MelCNN
from sortal.nets.network import Network
from sortal.nets.recurrent import Recurrent, Trace, lengths_of
from sortal.nets.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from sortal.nets.resnet_small import (
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from sortal.nets.rnn import RNN
from sortal.nets.sequence_classifier import SequenceClassifier
from sortal.nets.symbol_model import SymbolModel
from sortal.nets.tagger import Tagger
from sortal.nets.translator import Translator
from sortal.nets.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from sortal.nets.window import WindowNetwork

__all__ = [
    "BUILDERS",
    "GRU",
    "LSTM",
    "RNN",
    "Captioner",
    "MelCNN",
    "Network",
    "Recurrent",
    "SequenceClassifier",
    "SymbolModel",
    "Tagger",
    "Trace",
    "Translator",
    "WindowNetwork",
    "alexnet",
    "alexnet_two_group",
    "builder",
    "contrastive_net",
    "contrastive_resnet",
    "fully_convolutional",
    "googlenet",
    "googlenet_paper",
    "lenet5",
    "lenet5_paper",
    "lengths_of",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]
del MissingExtra
