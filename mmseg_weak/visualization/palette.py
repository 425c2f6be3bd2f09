"""The colours of classes."""

__all__ = ['voc_palette']


def voc_palette(num_classes: int) -> list[list[int]]:
    """Give every class a colour of its own, the first 256 as PASCAL VOC does.

    VOC spreads the three lowest bits of the class index over the highest bits of red, green and blue, then the
    next three over the next bits, and so on; so the colours of small indices are far apart, and none repeats.

    Args:
        num_classes: how many colours.

    Returns:
        ``num_classes`` lists ``[red, green, blue]``, 0-255.

    >>> voc_palette(4)
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    colours = []
    for index in range(num_classes):
        colour = [0, 0, 0]
        bit = 7
        while index:
            for channel in range(3):
                colour[channel] |= (index >> channel & 1) << bit
            index >>= 3
            bit -= 1
        colours.append(colour)
    return colours
