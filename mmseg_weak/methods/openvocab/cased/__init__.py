"""CaSED: names without a list of names, out of the captions that resemble an image.

Conti et al., Vocabulary-free Image Classification, NeurIPS 2023, arXiv 2306.00917, and Vocabulary-free Image
Classification and Semantic Segmentation, arXiv 2404.10864; altndrr/vic @ e31087f and altndrr/vicss @ 5fb469d (MIT).

    captions  the 10 of a database nearest to the image, near-duplicates (cosine 0.94) once     :mod:`.scores`
    words     what remains of the captions after a clean-up                                     :mod:`.words`
    p = 0.7 softmax(s cos(image, words)) + 0.3 softmax(s cos(mean caption, words)),  s = 1 / 0.07
    DenseCaSED: overlapping crops of three grids, embedded and averaged on a 16 x 16 map, whose every cell is then
    treated as an image                                                                         :mod:`.dense`

Deviations: words keep their order (published: that of a set). Plural words are made singular by ``inflect`` where it is
installed, else by rules of our own. Parts of speech (flair) are a function that the caller may give; without one all
words stay.

The room holds these functions; the command that builds a caption database, a registered segmentor, the metrics for
free-form names and configs are not in it.
"""
from .dense import crop_boxes, embed_cells, word_map
from .scores import candidate_probs, distinct_captions, nearest_captions, neighbour_probs
from .words import DROP_WORDS, STEPS, candidate_words, clean_caption, singular

__all__ = ['DROP_WORDS', 'STEPS', 'candidate_probs', 'candidate_words', 'clean_caption', 'crop_boxes',
           'distinct_captions', 'embed_cells', 'nearest_captions', 'neighbour_probs', 'singular', 'word_map']
