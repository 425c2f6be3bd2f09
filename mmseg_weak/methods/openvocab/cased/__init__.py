"""CaSED: names without a list of names, out of the captions that resemble an image.

Conti et al., Vocabulary-free Image Classification, NeurIPS 2023, arXiv 2306.00917, and Vocabulary-free Image
Classification and Semantic Segmentation, arXiv 2404.10864; altndrr/vic @ e31087f and altndrr/vicss @ 5fb469d (MIT).

    captions  the 10 of a database nearest to the image, near-duplicates (cosine 0.94) once     :mod:`.scores`
    words     what remains of the captions after a clean-up                                     :mod:`.words`
    p = 0.7 softmax(s cos(image, words)) + 0.3 softmax(s cos(mean caption, words)),  s = 1 / 0.07
    DenseCaSED: overlapping crops of three grids, embedded and averaged on a 16 x 16 map, whose every cell is then
    treated as an image                                                                         :mod:`.dense`

``mmseg-weak index cased`` embeds the captions of a file, once (:mod:`mmseg_weak.apis.index_cased`).

Deviations: words keep their order (published: that of a set). Plural words are made singular by ``inflect`` where it is
installed, else by rules of our own. Instead of a tagger of parts of speech (flair; nouns, adjectives, gerunds and
participles stay) a list of function words is left out (:func:`.words.may_name`); a tagger may be put into the
segmentor's ``keep_word``. FastSAM's masks are a module's that a config names. Captions' embeddings come from the index
(half precision). Crops of 128 pixels have their positions resized.
"""
from .dense import crop_boxes, cut_crops, embed_cells, enlarge_labels, grid_boxes, paint_words, word_map
from .scores import candidate_probs, distinct_captions, nearest_captions, neighbour_probs
from .segmentor import MODES, CaSED
from .words import DROP_WORDS, STEPS, candidate_words, clean_caption, may_name, singular

__all__ = ['DROP_WORDS', 'MODES', 'STEPS', 'CaSED', 'candidate_probs', 'candidate_words', 'clean_caption', 'crop_boxes',
           'cut_crops', 'distinct_captions', 'embed_cells', 'enlarge_labels', 'grid_boxes', 'may_name',
           'nearest_captions', 'neighbour_probs', 'paint_words', 'singular', 'word_map']
