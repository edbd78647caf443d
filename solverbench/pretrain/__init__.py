"""How the shipped parameters in `pretrained/` were made.

``python -m solverbench.pretrain gaussian|mixture --data PATH`` makes them again from the CIFAR-10 training images.
Nothing else in the package imports this; `solverbench.pretrained` reads what it wrote.
"""
