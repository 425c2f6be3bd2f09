# Clothing Co-Parsing, 1004 street photographs with masks of 59 classes, all masks used but every fifth.
# Folder: $MMSEG_WEAK_DATA/clothing or data/clothing, with images/labelled/, images/tagged/, masks/ and
# tags.json.
data_root = '{{$MMSEG_WEAK_DATA:data}}/clothing'
num_classes = 59
crop_size = (288, 192)
classes = (
    'null', 'accessories', 'bag', 'belt', 'blazer', 'blouse', 'bodysuit', 'boots', 'bra', 'bracelet', 'cape',
    'cardigan', 'clogs', 'coat', 'dress', 'earrings', 'flats', 'glasses', 'gloves', 'hair', 'hat', 'heels',
    'hoodie', 'intimate', 'jacket', 'jeans', 'jumper', 'leggings', 'loafers', 'necklace', 'panties', 'pants',
    'pumps', 'purse', 'ring', 'romper', 'sandals', 'scarf', 'shirt', 'shoes', 'shorts', 'skin', 'skirt',
    'sneakers', 'socks', 'stockings', 'suit', 'sunglasses', 'sweater', 'sweatshirt', 'swimwear', 't-shirt',
    'tie', 'tights', 'top', 'vest', 'wallet', 'watch', 'wedges')
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
held_out = dict(every=5)  # ours: every fifth image is for validation
files = dict(
    type='FolderSegDataset', data_root=data_root, images='images/labelled', masks='masks', classes=classes
)
labeled = dict(subset=dict(**held_out, complement=True), pipeline=train_pipeline, **files)
batch = 4
train_dataloader = dict(
    batch_size=batch,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(type='SeededDataset', dataset=labeled))
val_dataloader = dict(
    batch_size=1,  # photographs differ in size
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset=held_out, pipeline=test_pipeline, test_mode=True, **files))
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
